"""The report: documents, pictures and the README's table, written from result files alone."""
