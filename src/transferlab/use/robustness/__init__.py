"""How a finished run bears small changes of its test texts: typos, case, marks, synonyms, names ..."""
