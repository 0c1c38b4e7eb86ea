"""What a change in Swarm costs the visitors of a site, measured side by side for several load balancers.

``python -m bench`` builds a three-node Swarm of its own (tests/lab), puts every load balancer ("seat") into a network
namespace of its own on one overlay network, sends each the same load, and lets all of them watch the same events at
the same time. `seats` are the load balancers, `scenarios` the events, `load` and `trace` the requests, `store` what
Swarm itself wrote down, `report` the table. docs/benchmarks.md says how to read it.
"""
