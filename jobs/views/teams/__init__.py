"""Manage what a team keeps, and how programs reach it."""
