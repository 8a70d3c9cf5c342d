def check_consistency(dataset): return []
