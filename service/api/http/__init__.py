"""What the faces that speak HTTP share: bodies, Accept headers, which door an address belongs to."""
