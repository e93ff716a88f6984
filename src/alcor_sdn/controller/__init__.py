"""The controller: native REST API, Neutron v2.0 API, services and store."""
