"""A real three-node Docker Swarm on one machine, for the tests.

`services.Lab` is the lab, `service.Service` a service in it; `probe` sends single requests and `traffic`
load, both from any network namespace; `mesh` stands in for IPVS, `images` makes larger images. By hand:
python -m tests.lab up.
"""
