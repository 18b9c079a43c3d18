"""The leaderboard: tables, charts and pages made from result files."""
