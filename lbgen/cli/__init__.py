"""The commands, a module each. Results go to standard output, logs and errors to standard error.

`lbgen.cli.main` puts them together; nobody else imports this.
"""
