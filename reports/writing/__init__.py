"""From numbers to text: one model of a table, its Markdown, LaTeX and HTML, and what is said in words."""
