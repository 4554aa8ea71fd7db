"""Who asks, and what they may have: rules, tokens, OpenID, rates and denials. Nothing here knows a transport."""
