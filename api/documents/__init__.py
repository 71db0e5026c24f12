"""What people print: words, figures and pages of receipts, statements and stickers, in Czech and English.

No queries, no routes and no decisions about money live here: amounts come in as they were settled.
"""
