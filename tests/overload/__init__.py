"""The overload campaign: ten times as many talk at once as the stack has slots for; then everything is counted."""
