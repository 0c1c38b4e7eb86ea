"""lbgen follows Docker Swarm and keeps a load balancer's configuration true."""

__version__ = "0.1.0"
