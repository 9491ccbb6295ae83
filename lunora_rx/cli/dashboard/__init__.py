"""``lunora-rx dashboard``: a page of its own for any server, made with Panel and Perspective."""
