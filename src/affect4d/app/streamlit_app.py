"""Script that Streamlit runs. It imports nothing by itself: the process that reads uploads imports it again."""

if __name__ == "__main__":
    from affect4d.app.page import main

    main()
