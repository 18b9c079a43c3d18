"""Where the cells of a sweep run: in this very process, or in processes of their own."""
