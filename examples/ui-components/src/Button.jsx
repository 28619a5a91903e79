import styled from "styled-components";

export const Button = styled.button`
  background: teal;
  color: white;
  padding: 0.5rem 1rem;
`;
