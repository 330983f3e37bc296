import json
import threading
import unittest
import urllib.error
import urllib.request

from app import make_server
from convert import convert


class Convert(unittest.TestCase):
    def test_lengths(self):
        self.assertAlmostEqual(convert(1, "mi", "km"), 1.609344)
        self.assertAlmostEqual(convert(1, "m", "in"), 39.3700787)

    def test_unknown_unit(self):
        with self.assertRaises(KeyError):
            convert(1, "m", "furlong")

    def test_negative(self):
        with self.assertRaises(ValueError):
            convert(-1, "m", "km")


class App(unittest.TestCase):
    def setUp(self):
        self.server = make_server(0)
        thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        thread.start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(self.server.shutdown)

    def get(self, path):
        url = f"http://127.0.0.1:{self.server.server_port}{path}"
        with urllib.request.urlopen(url) as answer:
            return json.load(answer)

    def test_answers(self):
        self.assertEqual(self.get("/up"), {"up": True})
        self.assertIn("revision", self.get("/"))
        self.assertEqual(self.get("/convert?value=2&from=km&to=m"), {"value": 2000.0})

    def test_refuses(self):
        for path in ["/convert?value=2&from=km", "/convert?value=x&from=m&to=m", "/nothing"]:
            with self.assertRaises(urllib.error.HTTPError) as raised:
                self.get(path)
            raised.exception.close()


if __name__ == "__main__":
    unittest.main()
