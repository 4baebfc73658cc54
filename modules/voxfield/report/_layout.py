"""Where the parts of a page lie in its folder: pages of subjects are written so, and the cohort page reads them so."""

PAGE = "index.html"
DATA = "page.json"
THUMBNAIL = "assets/thumbnail.png"
NAVIGATION = "<!-- navigation -->"  # in a subject's page: where a cohort page puts the way back
