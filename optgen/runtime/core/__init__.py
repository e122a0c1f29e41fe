"""What all machines have in common: programs, the engine, tables, storages."""
