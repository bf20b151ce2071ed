namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Detects when fragments of JSON text form a whole object, without storing them.</summary>
internal struct ToolArgumentsProgress
{
    private int _depth;
    private bool _begun;
    private bool _inString;
    private bool _escaped;

    /// <summary>Whether an object has started and ended.</summary>
    public readonly bool IsWhole => _begun && _depth == 0;

    public void Feed(string fragment)
    {
        foreach (var c in fragment)
        {
            if (_escaped) _escaped = false;
            else if (_inString)
            {
                if (c == '\\') _escaped = true;
                else if (c == '"') _inString = false;
            }
            else if (c == '"') _inString = true;
            else if (c is '{' or '[')
            {
                _begun = true;
                _depth++;
            }
            else if (c is '}' or ']' && _depth > 0) _depth--;
        }
    }
}
