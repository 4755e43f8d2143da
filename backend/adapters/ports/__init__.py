"""Ports: what services need from the outside, as protocols and records. The other modules of ``adapters`` implement
them.
"""
