"""Second opinions: what others compute for the same rules. One family a file; `ask` asks them all."""
