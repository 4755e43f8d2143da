"""Text generation on OpenVINO GenAI."""
