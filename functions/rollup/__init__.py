"""What Lambda calls to compute the figures that need all items: of subjects, of tutors' first sessions."""
