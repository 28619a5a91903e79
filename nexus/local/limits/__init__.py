"""What an account may use: rates, counts and lifetimes, as E2B's tiers have them; by default hardly any."""
