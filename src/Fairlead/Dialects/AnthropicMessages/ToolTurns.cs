using System.Globalization;
using System.Text;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>
/// The rule between turns: the user turn after an assistant turn starts with one <c>tool_result</c> for each of its <c>tool_use</c> blocks,
/// and has no other results. Neighbouring messages of one role are one turn.
/// </summary>
internal sealed class ToolTurns
{
    // For more open calls a set is used, so that no order of results makes the search quadratic.
    private const int MaxSearched = 32;
    private readonly List<ByteRange> _open = [];
    private HashSet<string>? _openSet;
    private int _answered;
    private int _askedAt = -1;
    private bool _answering;
    private bool _othersInTurn;

    /// <summary>A call in the assistant message <paramref name="message"/>.</summary>
    public void AddCall(int message, ByteRange id)
    {
        _askedAt = message;
        _open.Add(id);
    }

    /// <summary>An assistant message starts; if a user turn came in between, earlier calls must have their results.</summary>
    public void StartAssistantTurn(ReadOnlySpan<byte> body)
    {
        if (_answering) Close(body);
    }

    /// <summary>A user message starts.</summary>
    public void StartUserTurn()
    {
        if (!_answering) _othersInTurn = false;
        _answering = true;
    }

    /// <summary>A block of a user message that is not a tool result.</summary>
    public void OtherInUserTurn() => _othersInTurn = true;

    /// <summary>A result in the current user turn.</summary>
    public void AddResult(ReadOnlySpan<byte> body, FieldPath path, ByteRange id)
    {
        if (_othersInTurn) throw RequestErrors.Value(path, "tool_result blocks must come before all other blocks of a user turn.");
        if (!Take(body, id))
        {
            throw RequestErrors.Value(path,
                $"the assistant turn before it has no tool_use with the id '{Shown(body, id)}' that still needs a result.");
        }
    }

    /// <summary>The messages have ended.</summary>
    public void End(ReadOnlySpan<byte> body) => Close(body);

    private bool Take(ReadOnlySpan<byte> body, ByteRange id)
    {
        if (_open.Count - _answered > MaxSearched && _openSet is null)
        {
            _openSet = new HashSet<string>(_open.Count, StringComparer.Ordinal);
            for (var i = _answered; i < _open.Count; i++)
            {
                if (!_openSet.Add(Text(body, _open[i])))
                {
                    throw RequestErrors.Value(new FieldPath("messages", _askedAt),
                        $"two tool_use blocks have the id '{Shown(body, _open[i])}'.");
                }
            }
        }
        if (_openSet is not null)
        {
            if (!_openSet.Remove(Text(body, id))) return false;
            _answered++;
            return true;
        }
        var wanted = body.Slice(id.Start, id.Length);
        for (var i = _answered; i < _open.Count; i++)
        {
            if (!wanted.SequenceEqual(body.Slice(_open[i].Start, _open[i].Length))) continue;
            (_open[i], _open[_answered]) = (_open[_answered], _open[i]);
            _answered++;
            return true;
        }
        return false;
    }

    private void Close(ReadOnlySpan<byte> body)
    {
        if (_answered < _open.Count)
        {
            var missing = _openSet is null ? Shown(body, _open[_answered]) : Cut(_openSet.FirstOrDefault() ?? "");
            throw RequestErrors.Value(
                new FieldPath("messages", _askedAt),
                string.Create(CultureInfo.InvariantCulture,
                    $"its tool_use '{missing}' has no tool_result; the next user turn must start with one result for each of the "
                        + $"{_open.Count} calls."));
        }
        _open.Clear();
        _openSet = null;
        _answered = 0;
        _answering = false;
        _othersInTurn = false;
    }

    private static string Text(ReadOnlySpan<byte> body, ByteRange id) => Encoding.UTF8.GetString(body.Slice(id.Start, id.Length));

    private static string Shown(ReadOnlySpan<byte> body, ByteRange id) => Cut(Text(body, id));

    private static string Cut(string id) => id.Length > 64 ? id[..64] : id;
}
