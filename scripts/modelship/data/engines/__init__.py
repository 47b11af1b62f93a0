"""Engines that compute on tables where these are: Spark and databases."""
