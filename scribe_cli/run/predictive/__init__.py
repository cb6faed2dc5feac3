"""What `scribe ppc` is made of: the counts that a fit is checked against, and the pictures of what was found."""
