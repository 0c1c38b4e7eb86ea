"""`lbgen migrate traefik`: settings for lbgen from Traefik's static configuration, with a reason for all that is not
carried over.

`words` reads the static configuration from wherever it is, `hints` what labels say of entry points, `listeners` and
`discovery` make settings of it, `left_out` has the reasons, `draft` puts everything into a commented file.
"""
