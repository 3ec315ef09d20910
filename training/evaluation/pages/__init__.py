"""The pages of an evaluation: scorecard, curves by lead, charts and maps.

It knows what is looked at. It never computes a score. Start reading at `report.py`.
"""
