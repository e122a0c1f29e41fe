"""What there is to say of a rule, as data and as pages for a terminal, Markdown, HTML and LaTeX; nothing is printed."""
