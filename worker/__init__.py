"""The ground of Thoraq: what a study is, how it is read, scored and recorded."""
