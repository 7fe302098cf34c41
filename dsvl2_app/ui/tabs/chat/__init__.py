"""The Chat tab: a conversation about pictures, its settings, its cost, and its export."""
