"""A released data set: what it holds, what it promises, and how its receiver checks both."""
