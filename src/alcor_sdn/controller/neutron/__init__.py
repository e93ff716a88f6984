"""The Neutron API v2.0 of the controller."""
