using System.Globalization;
using System.Text;
using Fairlead.Errors;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Net.Http.Headers;

namespace Fairlead.Files;

/// <summary>The fields of an upload beside its content, as they arrive.</summary>
internal sealed class FileUpload
{
    private const int LongestField = 1024;
    private const int LongestName = 255;
    private const int MaxParts = 16;
    private const string Anchor = "expires_after[anchor]";
    private const string Seconds = "expires_after[seconds]";

    // From an hour to thirty days, as at OpenAI.
    public const int MinSeconds = 3600;
    public const int MaxSeconds = 2_592_000;

    private readonly Dictionary<string, string> _fields = new(StringComparer.Ordinal);
    private bool _hasFile;

    public string FileName { get; private set; } = "";

    public string Purpose => _fields.GetValueOrDefault("purpose", "");

    /// <summary>How long it is stored, or null if not stated.</summary>
    public TimeSpan? Lifetime { get; private set; }

    /// <summary>
    /// Reads all parts of a multipart body, in any order, and passes the content on while it arrives. Null on success.
    /// </summary>
    /// <param name="contentType">The request's.</param>
    /// <param name="body">The request's body.</param>
    /// <param name="sink">Receives the content.</param>
    /// <param name="bounds">Limits of files.</param>
    /// <param name="room">Where space is reserved before content is written.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    /// <exception cref="IOException">The body broke off, or the content cannot be written.</exception>
    public async Task<GatewayError?> ReadAsync(string? contentType, Stream body, FileSink sink, FilesConfig bounds, FileReservation room,
        CancellationToken cancellationToken)
    {
        if (BoundaryOf(contentType) is not { } boundary)
        {
            return new GatewayError(ErrorCode.UnsupportedMediaType,
                "A file must be sent as multipart/form-data with the parts 'file' and 'purpose'.");
        }

        try
        {
            var reader = new MultipartReader(boundary, body) { BodyLengthLimit = null };
            for (var parts = 0; await reader.ReadNextSectionAsync(cancellationToken) is { } section; parts++)
            {
                if (parts == MaxParts) return GatewayError.Invalid("file", $"The body has more than {MaxParts} parts.");
                if (await ReadPartAsync(section, sink, bounds, room, cancellationToken) is { } fault) return fault;
            }
        }
        catch (InvalidDataException)
        {
            return new GatewayError(ErrorCode.InvalidParameter,
                "The multipart body is malformed, or the header of one of its parts is too long.");
        }
        return Check(sink);
    }

    private GatewayError? Check(FileSink sink)
    {
        if (!_hasFile) return GatewayError.Missing("file");
        if (sink.Length == 0) return GatewayError.Invalid("file", "The file is empty.");
        if (!_fields.ContainsKey("purpose")) return GatewayError.Missing("purpose");
        if (!FilePurposes.Uploaded.Contains(Purpose))
        {
            return GatewayError.Invalid("purpose",
                $"Invalid value for 'purpose': expected one of {string.Join(", ", FilePurposes.Uploaded.Select(word => $"'{word}'"))}.");
        }

        if (!_fields.ContainsKey(Anchor) && !_fields.ContainsKey(Seconds)) return null;
        if (_fields.GetValueOrDefault(Anchor) is not "created_at")
            return GatewayError.Invalid(Anchor, $"Invalid value for '{Anchor}': expected 'created_at'.");
        if (!int.TryParse(_fields.GetValueOrDefault(Seconds), NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)
            || seconds is < MinSeconds or > MaxSeconds)
        {
            return GatewayError.Invalid(Seconds,
                $"Invalid value for '{Seconds}': expected an integer from {MinSeconds} to {MaxSeconds}.");
        }

        Lifetime = TimeSpan.FromSeconds(seconds);
        return null;
    }

    private async Task<GatewayError?> ReadPartAsync(MultipartSection section, FileSink sink, FilesConfig bounds, FileReservation room,
        CancellationToken cancellationToken)
    {
        if (!ContentDispositionHeaderValue.TryParse(section.ContentDisposition, out var disposition)
            || HeaderUtilities.RemoveQuotes(disposition.Name).ToString() is not { Length: > 0 } name)
        {
            return new GatewayError(ErrorCode.InvalidParameter,
                "A part of the body has no name; each needs a Content-Disposition of form-data with one.");
        }

        if (name == "file")
        {
            if (_hasFile) return GatewayError.Invalid("file", "The part 'file' occurs twice.");
            _hasFile = true;
            FileName = NameOf(disposition);
            return await CopyAsync(section.Body, sink, bounds, room, cancellationToken);
        }
        if (name is not ("purpose" or Anchor or Seconds))
        {
            if (name.Length > 64) name = name[..64];
            return GatewayError.Invalid(name,
                $"Unknown part '{name}'; known parts are 'file', 'purpose', '{Anchor}' and '{Seconds}'.") with
            {
                OpenAiCode = "unknown_parameter",
            };
        }
        var value = new byte[LongestField + 1];
        var length = await section.Body.ReadAtLeastAsync(value, value.Length, throwOnEndOfStream: false, cancellationToken);
        if (length > LongestField) return GatewayError.Invalid(name, $"The part '{name}' is longer than {LongestField} bytes.");
        if (!_fields.TryAdd(name, Encoding.UTF8.GetString(value, 0, length).Trim()))
            return GatewayError.Invalid(name, $"The part '{name}' occurs twice.");
        return null;
    }

    private static async Task<GatewayError?> CopyAsync(Stream content, FileSink sink, FilesConfig bounds, FileReservation room,
        CancellationToken cancellationToken)
    {
        var buffer = new byte[64 * 1024];
        int read;
        while ((read = await content.ReadAsync(buffer, cancellationToken)) > 0)
        {
            if (sink.Length + read > bounds.MaxFileBytes) return TooLarge(bounds.MaxFileBytes);
            if (!await room.EnsureAsync(sink.Length + read, cancellationToken)) return FileEndpoints.Full(bounds);
            await sink.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
        }
        return null;
    }

    public static GatewayError TooLarge(long maxBytes) =>
        new(ErrorCode.PayloadTooLarge,
            string.Create(CultureInfo.InvariantCulture, $"The file is larger than {maxBytes:N0} bytes.")) { Parameter = "file" };

    // Some clients send a local path here.
    private static string NameOf(ContentDispositionHeaderValue disposition)
    {
        var name = HeaderUtilities.RemoveQuotes(disposition.FileNameStar.HasValue ? disposition.FileNameStar : disposition.FileName)
            .ToString();
        name = name[(name.LastIndexOfAny(['/', '\\']) + 1)..];
        var clean = string.Concat(name.Where(letter => !char.IsControl(letter) && !char.IsSurrogate(letter)));
        if (clean.Length > LongestName) clean = clean[..LongestName];
        // A name of dots alone would be a directory, not a name, when the file is saved under it.
        return clean.AsSpan().Trim(". ").IsEmpty ? "file" : clean;
    }

    private static string? BoundaryOf(string? contentType)
    {
        if (!MediaTypeHeaderValue.TryParse(contentType, out var media)
            || !media.MediaType.Equals("multipart/form-data", StringComparison.OrdinalIgnoreCase))
        {
            return null;
        }

        var boundary = HeaderUtilities.RemoveQuotes(media.Boundary).ToString();
        // RFC 2046, section 5.1.1.
        return boundary.Length is > 0 and <= 70 ? boundary : null;
    }
}
