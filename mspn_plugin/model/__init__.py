"""The paper's network, its targets and its supervision."""
