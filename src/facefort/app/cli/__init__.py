"""The command line: one file a verb, none imported before its verb is typed."""
