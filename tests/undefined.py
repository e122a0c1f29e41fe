"""Names that a generated module would look for in vain."""

import builtins
import symtable


def undefined(text: str) -> set[str]:
    """Names that functions of a module read and nothing binds."""

    def unknown(table: symtable.SymbolTable) -> set[str]:
        free = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced()}
        return free.union(*map(unknown, table.get_children()))

    module = symtable.symtable(text, "module", "exec")
    return unknown(module) - set(module.get_identifiers()) - set(dir(builtins))
