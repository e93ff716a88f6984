"""What the controller does when something is created, changed or deleted through an API."""
