"""The oracle: what the equations of a spec say, apart from the compiler."""
