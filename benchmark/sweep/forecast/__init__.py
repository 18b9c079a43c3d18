"""What a sweep would take and cost, said before it runs."""
