import { Button } from "./Button.jsx";

export default function App() {
  return <Button>Ready</Button>;
}
