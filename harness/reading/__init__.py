"""Files of every form that a pair or a prediction may come in: AnnData, 10x, tables; local or behind a URI."""
