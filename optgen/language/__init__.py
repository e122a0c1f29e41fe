"""The language of spec files: plain SymPy expressions over a few kinds of named symbols."""
