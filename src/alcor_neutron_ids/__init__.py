"""The Neutron API extension ``alcor-ids``; README.md says how Neutron loads it. Neutron skips this file."""
