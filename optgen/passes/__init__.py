"""From equations to a kernel worth printing: one pass a file, each a plain function ``Kernel -> Kernel``."""
