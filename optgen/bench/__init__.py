"""How long steps take, beside what memory allows and what others need: what ``optgen bench`` runs."""
