"""The commands, a module each. Results go to standard output, logs and errors to standard error.

`lbgen.cli.main` has the table of commands; no other room imports this one.
"""
