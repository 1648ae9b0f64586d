"""HTTP, and the fetching of images: a client that guards against private addresses, robots.txt, deadlines, limits."""
