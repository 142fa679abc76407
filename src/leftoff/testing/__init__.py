"""Offer what tests need and programs do not: replicas of services, with real records and switchable faults.

Nothing in the product imports this package; it may import everything.
"""
